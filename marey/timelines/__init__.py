"""What is said over time: decisions of a stream, segments of a video, and how right they are."""
