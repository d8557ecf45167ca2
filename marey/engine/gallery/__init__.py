"""The clips of a data set as a page, for people who look before they train."""
