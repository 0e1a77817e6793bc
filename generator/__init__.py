"""Development tool: curated specification in, generated client package out. Never shipped."""
