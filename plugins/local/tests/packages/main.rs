//! Packages through the fetcher's two faces: OVF and OVA in every packing, manifests, bundles, and what is refused.
//!
//! Requires the programs tar, gzip, xz and zip (Debian: tar, gzip, xz-utils, zip).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundles;
mod cards;
mod choices;
mod deltas;
mod documents;
mod hardware;
mod hostile;
mod manifests;
mod ovfs;
mod packings;
mod roots;
mod sizes;
mod support;
mod tars;
