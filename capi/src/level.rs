//! The levels as C sees them.
#![allow(non_camel_case_types, reason = "names of the header")]

use crate::error::lapwing_error::{self, LAPWING_E_INVALID};
use lapwing_ring::Level;
use libc::c_int;

/// How severe a record is: OpenTelemetry severity numbers. Every number from 1 to 24 is a level; these have names.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_level {
    LAPWING_TRACE = 1,
    LAPWING_DEBUG = 5,
    LAPWING_INFO = 9,
    LAPWING_NOTICE = 10,
    LAPWING_WARN = 13,
    LAPWING_ERR = 17,
    LAPWING_CRIT = 18,
    LAPWING_ALERT = 19,
    LAPWING_EMERG = 21,
}

const _: () = {
    assert!(lapwing_level::LAPWING_TRACE as u8 == Level::TRACE.number());
    assert!(lapwing_level::LAPWING_DEBUG as u8 == Level::DEBUG.number());
    assert!(lapwing_level::LAPWING_INFO as u8 == Level::INFO.number());
    assert!(lapwing_level::LAPWING_NOTICE as u8 == Level::NOTICE.number());
    assert!(lapwing_level::LAPWING_WARN as u8 == Level::WARN.number());
    assert!(lapwing_level::LAPWING_ERR as u8 == Level::ERR.number());
    assert!(lapwing_level::LAPWING_CRIT as u8 == Level::CRIT.number());
    assert!(lapwing_level::LAPWING_ALERT as u8 == Level::ALERT.number());
    assert!(lapwing_level::LAPWING_EMERG as u8 == Level::EMERG.number());
};

/// The level that C means by `number`.
pub(crate) fn level(number: c_int) -> Result<Level, lapwing_error> {
    u8::try_from(number).ok().and_then(Level::new).ok_or(LAPWING_E_INVALID)
}
