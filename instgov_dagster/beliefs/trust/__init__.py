"""How trust in a model is lost and won back: decay, validation, the record they rest on."""
