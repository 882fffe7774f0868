//! The HTTP edge: listeners, the layer stack, routing, and errors as bytes.
