//! Stands in for the table's own check until there is one.

#![forbid(unsafe_code)]
#![allow(missing_docs)]

use super::header::{BOOT_ID, CHECKSUM, FORMAT_VERSION, GENERATION, LEN, MAGIC, MIN_LEN, VERSION};
use crate::kernel::map::MappedTable;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Damage(&'static str);

pub fn checksum(image: &[u8]) -> u64 {
    let covered = [&image[..GENERATION], &image[LEN..CHECKSUM], &image[MIN_LEN..]];
    covered
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub fn check(image: &[u8]) -> Result<(), Damage> {
    match image.get(CHECKSUM..MIN_LEN) {
        Some(stored) if stored == checksum(image).to_le_bytes() => Ok(()),
        _ => Err(Damage("its checksum is another")),
    }
}

pub fn boot_id() -> [u8; 16] {
    super::header::boot_id().unwrap()
}

pub fn image(boot_id: [u8; 16], content: &[u8]) -> Vec<u8> {
    let mut image = vec![0; MIN_LEN];
    image.extend(content);
    image[..8].copy_from_slice(&MAGIC);
    image[VERSION..VERSION + 4].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    image[VERSION + 4..GENERATION].copy_from_slice(&(MIN_LEN as u32).to_le_bytes());
    let len = image.len() as u64;
    image[LEN..LEN + 8].copy_from_slice(&len.to_le_bytes());
    image[BOOT_ID..BOOT_ID + 16].copy_from_slice(&boot_id);
    let sum = checksum(&image);
    image[CHECKSUM..MIN_LEN].copy_from_slice(&sum.to_le_bytes());
    image
}

#[derive(Clone)]
pub struct Snapshot {
    pub(super) table: Arc<MappedTable>,
    pub(super) generation: u64,
}

impl Snapshot {
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn content(&self) -> &[u8] {
        &self.table.bytes()[MIN_LEN..]
    }
}
