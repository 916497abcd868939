//! Lets programs that do not know the ring read it.
//!
//! [`Follow`] walks a ring and hands out records with the names of their writers, and losses where they happened;
//! [`Filter`] says which records are wanted; [`Renderer`] is the one place that makes text of them. [`Survey`] tells who wrote
//! when, and how fast, without reading everything; [`Dump`] takes them to a slow device or into rotating files.

#![forbid(unsafe_code)]

mod color;
mod digits;
mod dump;
mod escape;
mod filter;
mod follow;
mod json;
mod logfmt;
mod loss;
mod moment;
mod plot;
mod query;
mod render;
mod survey;
mod wall_clock;

pub use dump::{Dump, DumpError, DumpOptions, Flushed, Orders, Rotation, Sync};
pub use escape::push_escaped;
pub use filter::{Filter, LevelRange, UnknownRange};
pub use follow::{Follow, FollowError, Item, Progress};
pub use json::to_json;
pub use lapwing_ring::Who;
pub use loss::{Loss, LossKind};
pub use moment::{UnknownTime, parse_time};
pub use plot::{By, Chart, Plot};
pub use query::{Query, QueryError};
pub use render::{Format, Renderer, UnknownFormat};
pub use survey::{LastWrite, Moment, Process, Survey, Window};
pub use wall_clock::{rfc3339_utc, time_of_day};
