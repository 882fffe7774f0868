//! Operations on decoded objects: metadata, selectors, quantities, patches, managed fields.
