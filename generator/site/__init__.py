"""The site: the pages of the project, and the public names with their docstrings, as Markdown for a site builder."""
