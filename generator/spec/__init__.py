"""The curated document: its fragments read, merged into one bundle, walked and written out again."""
