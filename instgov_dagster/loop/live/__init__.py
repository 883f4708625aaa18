"""What a live session works with: router, frames, attribution, report, the operator's acts."""
