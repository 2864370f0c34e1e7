"""Learners × tasks → predictions."""
