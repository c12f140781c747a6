//! Tidegate: image streams for GitOps, without OpenShift.
//!
//! # The map
//!
//! Outside facts come in as [`action::Input`]s. A synchronous engine turns them into facts, plans, and returns effects:
//! append these records, start or cancel these actions, wake me at. A thin tokio loop carries effects out and feeds the
//! results back. The journal is the only state we own.

pub mod action;
pub mod admit;
pub mod cli;
pub mod config;
pub mod desired;
pub mod effective;
pub mod engine;
pub mod fact;
pub mod journal;
pub mod limits;
pub mod names;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod reference;
pub mod telemetry;
pub mod time;
pub mod world;
