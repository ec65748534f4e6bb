"""Named columns: which of them are scores, ids and labels, on disk and in memory."""
