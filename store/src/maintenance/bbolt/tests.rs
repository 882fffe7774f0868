//! What is written is read again, and what is damaged is refused.

use std::collections::BTreeMap;
use std::io::Cursor;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

type Contents = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

fn fill<W: std::io::Write>(mut writer: Writer<W>, contents: &Contents) -> (W, Layout) {
    for (name, entries) in contents {
        writer.bucket(name).unwrap();
        for (key, value) in entries {
            writer.put(key, value).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn write(contents: &Contents) -> Vec<u8> {
    let (_, layout) = fill(Writer::measure().unwrap(), contents);
    let (file, written) = fill(Writer::new(Vec::new(), layout).unwrap(), contents);
    assert_eq!(written, layout);
    assert_eq!(file.len() as u64, layout.bytes());
    file
}

fn read(file: &[u8]) -> Result<Contents> {
    let mut database = Database::open(Cursor::new(file))?;
    let mut contents = Contents::new();
    for bucket in database.buckets()? {
        let mut entries = BTreeMap::new();
        database.walk(&bucket, |key, value| {
            entries.insert(key.to_vec(), value.to_vec());
            Ok::<(), Error>(())
        })?;
        contents.insert(bucket.name.clone(), entries);
    }
    Ok(contents)
}

/// Three levels of pages, values larger than a page, empty values, and a bucket without entries.
fn large() -> Contents {
    let key = |n: u32| [&n.to_be_bytes()[..], &[b'k'; 30]].concat();
    let many = (0..30_000_u32).map(|n| (key(n), vec![n.to_le_bytes()[0]; (n % 90) as usize])).collect();
    let wide = (0..20_u32).map(|n| (key(n), vec![7; n as usize * 2000])).collect();
    let long_keys = (0..200_u32).map(|n| ([&n.to_be_bytes()[..], &[1; 3000]].concat(), Vec::new())).collect();
    Contents::from([
        (b"empty".to_vec(), BTreeMap::new()),
        (b"long".to_vec(), long_keys),
        (b"many".to_vec(), many),
        (b"wide".to_vec(), wide),
    ])
}

#[test]
fn what_is_written_is_read_again() {
    let contents = large();
    let file = write(&contents);
    assert!(read(&file).unwrap() == contents);
    Database::open(Cursor::new(&file)).unwrap().check().unwrap();
    let nothing = write(&Contents::new());
    assert!(read(&nothing).unwrap().is_empty());
    Database::open(Cursor::new(&nothing)).unwrap().check().unwrap();
}

#[test]
fn one_torn_meta_page_does_not_matter_and_two_do() {
    let contents = large();
    let mut file = write(&contents);
    file[30] ^= 1;
    assert!(read(&file).unwrap() == contents);
    file[4096 + 30] ^= 1;
    assert!(matches!(read(&file), Err(Error::Foreign(_))));
}

#[test]
fn what_is_cut_off_or_foreign_is_refused() {
    let file = write(&large());
    for bytes in [0, 1, 80, 4096, 8192, file.len() / 2, file.len() - 1] {
        assert!(read(&file[..bytes]).is_err(), "cut to {bytes}");
    }
    assert!(read(&vec![0x5a; 100_000]).is_err());
}

#[test]
fn a_page_that_is_its_own_child_ends_the_walk() {
    let contents = large();
    let mut file = write(&contents);
    let branch = (3..file.len() / 4096).find(|page| file[page * 4096 + 8] == 1).unwrap();
    // The first element's child.
    file[branch * 4096 + 16 + 8..][..8].copy_from_slice(&(branch as u64).to_le_bytes());
    assert!(matches!(read(&file), Err(Error::Damaged { .. })));
}

#[test]
fn entries_out_of_order_are_not_written() {
    let mut writer = Writer::new(Vec::new(), Layout::default()).unwrap();
    assert!(writer.put(b"a", b"").is_err(), "outside of all buckets");
    writer.bucket(b"bucket").unwrap();
    writer.put(b"b", b"").unwrap();
    assert!(writer.put(b"b", b"").is_err());
    assert!(writer.put(b"a", b"").is_err());
    assert!(writer.put(b"", b"").is_err());
}

fn contents() -> impl Strategy<Value = Contents> {
    let bytes = |most| vec(any::<u8>(), 1..most);
    let value = prop_oneof![vec(any::<u8>(), 0..40), (0..20_000_usize).prop_map(|bytes| vec![3; bytes])];
    btree_map(bytes(12), btree_map(bytes(60), value, 0..120), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_contents_survive(contents in contents()) {
        let file = write(&contents);
        prop_assert!(read(&file).unwrap() == contents);
        Database::open(Cursor::new(&file)).unwrap().check().unwrap();
    }

    /// Whatever is flipped, reading ends, without a panic and without more entries than there is room for.
    #[test]
    fn flipped_bytes_never_panic(contents in contents(), flips in vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..8)) {
        let mut file = write(&contents);
        for (at, flip) in flips {
            let at = at.index(file.len());
            file[at] ^= flip;
        }
        let read = read(&file);
        if let Ok(mut database) = Database::open(Cursor::new(&file)) && database.check().is_ok() {
            prop_assert!(read.is_ok(), "what checks out can be read");
        }
    }

    /// Flips where the structure is: headers and elements.
    #[test]
    fn damaged_structure_never_panics(page in any::<prop::sample::Index>(), at in 0..96_usize, to in any::<u8>()) {
        thread_local!(static FILE: Vec<u8> = write(&large()));
        let mut file = FILE.with(Clone::clone);
        let at = page.index(file.len() / 4096) * 4096 + at;
        file[at] = to;
        let _ = read(&file);
        if let Ok(mut database) = Database::open(Cursor::new(&file)) {
            let _ = database.check();
        }
    }
}
