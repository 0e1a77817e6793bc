"""Batches of rows: what bulk runs and the queue share. Not for import by users.

How batching works. A batch operation takes a list of rows in one request. The spec (`x-batch`) limits that list in
rows and in bytes of the body, and for some operations every row of it must name its profile by the same kinds of
identifier (uniform identifier). So each row is written to JSON once and put into the open `Chunk` of its identifier
group, or the only open chunk where groups do not matter. A chunk is closed when it has as many rows as are allowed, or
when the next row would make its body too large. The bytes are counted exactly before there is a body: an empty chunk
counts 1, for the opening bracket, and each row counts its own bytes and one more, for the comma after it or, after the
last one, the closing bracket. A row that will be given a time counts the bytes of that as well. A row that is too
large for a body of its own is refused. Which rows go together depends on the rows and the settings alone, never on
responses, so that the journal of a run finds the same chunks in the same input again.

How a chunk is sent. First as a whole: one `SubBatch` of all its rows, in one request. Where the response leaves rows in
doubt, these become smaller sub-batches, cut out of the body and never written again, until every row has its fate. A
sub-batch that failed for a reason that passes is sent again as it is. One request of a chunk is in flight at a time,
which keeps the order of its rows; several chunks are on their way together.

Explained where they are: the order of rows in `ordering`, attribution in `attribution`, bisection in `bisection`,
rows at which the server breaks in `poison_search`, machines and drivers in `machine`, the AIMD window in `throttle`,
the bytes of a row in `row_encoder`; of a bulk run its journal and its rejection store in `bulk.journal` and
`bulk.dead_letter`.
"""
