"""The capital auction beside what anyone would pick instead: same arrays, same objective."""
