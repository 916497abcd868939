//! What programs write: texts of one length, in several levels.

use lapwing_ring::Level;
use std::fmt::Write;

/// Bytes of every text.
pub const TEXT: usize = 100;

/// Who writes them.
pub const NAMES: [&str; 4] = ["nginx", "postgres", "order-service", "cron"];

/// The level of the record with this number: every fourth is another than info.
pub fn level(n: u64) -> Level {
    match n % 256 {
        255 => Level::ERR,
        n if n % 16 == 15 => Level::WARN,
        n if n % 16 == 7 => Level::NOTICE,
        n if n % 8 == 3 => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// The text of the record with this number, in the place of what `text` was.
pub fn write(text: &mut String, name: &str, n: u64) {
    text.clear();
    // Every eighth has something that JSON escapes.
    let path = if n.is_multiple_of(8) { "\"/api/v1/items\"" } else { "/api/v1/items" };
    let _ =
        write!(text, "{name}: GET {path}/{n:08} from 10.0.{}.{} status=200 time={}us ", n >> 8 & 255, n & 255, n % 977);
    while text.len() < TEXT {
        text.push_str("served from cache, ");
    }
    text.truncate(TEXT);
}
