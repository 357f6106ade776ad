"""Makes and checks the sample video of test/fixtures/sample."""
