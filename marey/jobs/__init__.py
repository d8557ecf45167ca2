"""Long work cut into parts, done by processes here or on Ray, and gone on with after a kill."""
