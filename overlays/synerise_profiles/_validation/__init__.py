"""The schemas of the API document as rules for values: what a field may hold, judged one by one or column by column."""
