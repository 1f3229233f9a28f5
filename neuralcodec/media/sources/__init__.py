"""What a source is: how it is opened, its streams, and what it says of its pictures."""
