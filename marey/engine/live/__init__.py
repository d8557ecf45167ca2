"""A trained model looks at streams: frames as they come, of one camera or of many at once."""
