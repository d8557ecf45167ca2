"""Pictures as they come: cameras, urls, files at their pace, folders that grow, a pipe."""
