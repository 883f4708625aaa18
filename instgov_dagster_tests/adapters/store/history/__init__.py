"""Tests of what a store holds from before: older schemas, and the evidence of past days."""
