"""The live market: real providers asked over the wire, each refusal a verdict with its reason."""
