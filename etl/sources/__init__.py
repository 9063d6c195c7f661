"""Where records come from: files, databases, corrected rejects, and the archive of them."""
