"""GOPs through model and entropy coder: encoder, decoder, and the threads around them."""
