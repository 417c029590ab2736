//! What can be wrong with the structure of a database file.

use super::meta::BadMeta;

/// Damage to the structure of a database file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Neither meta page can be used.
    #[error("it is no etcd database, or its first two pages are lost: page 0 {first}, page 1 {second}")]
    NoMeta {
        /// What is wrong with the first.
        first: BadMeta,
        /// What is wrong with the second.
        second: BadMeta,
    },
    /// One of the two meta pages cannot be used; the other one holds the file together.
    #[error("the meta page {0}")]
    OneMeta(BadMeta),
    /// The file begins like an archive.
    #[error("it is a {0} archive, not a database; unpack it first")]
    Archive(&'static str),
    /// The file was written on a machine with the other byte order.
    #[error("it was written on a big-endian machine, and can only be read there")]
    BigEndian,
    /// The file ends before its data do.
    #[error("it has {length} bytes, and its pages take {needed}: the end is missing")]
    Truncated {
        /// The length of the file.
        length: u64,
        /// How long the meta page says that it is.
        needed: u64,
    },
    /// More pages than this reader keeps account of.
    #[error("it has {pages} pages; at most {most} are read")]
    TooManyPages {
        /// How many there are.
        pages: u64,
        /// How many are read.
        most: u64,
    },
    /// A reference leads out of the file.
    #[error("it refers to page {page}, and pages reach from 2 to below {end}")]
    OutOfRange {
        /// The page.
        page: u64,
        /// The number of pages.
        end: u64,
    },
    /// A page goes on beyond the end of the file.
    #[error("it goes on to page {last}, and pages end before {end}")]
    PastEnd {
        /// The last page that belongs to it.
        last: u64,
        /// The number of pages.
        end: u64,
    },
    /// A page is part of the tree twice: a cycle, or two owners.
    #[error("it belongs to the tree in two places")]
    Twice,
    /// The page holds another page's number.
    #[error("it says that it is page {found}")]
    WrongId {
        /// The number that it holds.
        found: u64,
    },
    /// The page is none of a tree.
    #[error("it is neither branch nor leaf: its flags are {found:#06x}")]
    WrongKind {
        /// Its flags.
        found: u16,
    },
    /// The page takes more room than any page of etcd's.
    #[error("it takes {bytes} bytes; at most {most} are read at once")]
    TooLarge {
        /// The room that it takes.
        bytes: u64,
        /// The most that is read at once.
        most: u64,
    },
    /// The table of elements is longer than the page.
    #[error("it counts {count} elements, more than it has room for")]
    TooManyElements {
        /// How many it counts.
        count: u16,
    },
    /// A branch without children.
    #[error("it is a branch without children")]
    EmptyBranch,
    /// A key or value reaches out of its page.
    #[error("its key or value reaches out of the page: at {position}, {key} and {value} bytes")]
    OutOfPage {
        /// Where the key begins, from the element on.
        position: u32,
        /// The length of the key.
        key: u32,
        /// The length of the value.
        value: u32,
    },
    /// Keys and values share bytes.
    #[error("its key and value share bytes with others: the page has no room for all of them")]
    Overlap,
    /// An empty key, or one that is too long.
    #[error("its key has {length} bytes; bolt allows 1 to 32768")]
    KeyLength {
        /// The length of the key.
        length: u32,
    },
    /// Keys are not in order within a page.
    #[error("its key is not above the one before")]
    Order,
    /// A key is below what the branch above promises.
    #[error("its key is below the one that the branch above has for this page")]
    BelowBranch,
    /// A key is in a page too far to the left.
    #[error("its key belongs into a page further to the right")]
    AboveBranch,
    /// The tree is deeper than any that can be written.
    #[error("the tree has more than {0} levels")]
    TooDeep(usize),
    /// The value of a bucket is too short, or its pages are.
    #[error("the entry of the bucket is damaged: {0}")]
    BucketEntry(&'static str),
    /// A plain key where only buckets belong.
    #[error("the key {0:?} lies where only buckets belong")]
    NotABucket(String),
    /// A bucket in a bucket, which etcd never makes.
    #[error("a bucket lies within a bucket, which etcd never makes")]
    Nested,
    /// More buckets than any etcd has.
    #[error("it has more than {0} buckets")]
    TooManyBuckets(usize),
    /// The list of free pages cannot be read.
    #[error("the list of free pages is damaged: {0}")]
    Freelist(&'static str),
    /// A page outside of the file is listed as free.
    #[error("it lists page {page} as free, and pages reach from 2 to below {end}")]
    FreeOutOfRange {
        /// The page.
        page: u64,
        /// The number of pages.
        end: u64,
    },
    /// A page is listed as free twice.
    #[error("it is listed as free twice")]
    FreeTwice,
    /// A page is listed as free and part of the tree.
    #[error("it is listed as free, and belongs to the tree")]
    FreeAndUsed,
    /// A page is neither listed as free nor part of the tree.
    #[error("it is neither listed as free nor part of the tree")]
    Lost,
}

impl Flaw {
    pub(in crate::format) fn code(&self) -> &'static str {
        match self {
            Flaw::NoMeta { .. } => "not_a_database",
            Flaw::OneMeta(_) => "meta_damaged",
            Flaw::Archive(_) => "archive",
            Flaw::BigEndian => "big_endian",
            Flaw::Truncated { .. } => "truncated",
            Flaw::TooManyPages { .. } | Flaw::TooLarge { .. } => "too_large",
            Flaw::Freelist(_) | Flaw::FreeOutOfRange { .. } | Flaw::FreeTwice | Flaw::FreeAndUsed | Flaw::Lost => {
                "freelist_damaged"
            }
            Flaw::NotABucket(_) | Flaw::Nested | Flaw::TooManyBuckets(_) => "foreign_data",
            Flaw::Order | Flaw::BelowBranch | Flaw::AboveBranch => "key_order",
            _ => "page_damaged",
        }
    }

    pub(in crate::format) fn help(&self) -> Option<&'static str> {
        match self {
            Flaw::NoMeta { .. } => {
                Some("name a file that `snapshot save` or `etcdctl snapshot save` wrote, or a member's `db`")
            }
            Flaw::Truncated { .. } => Some("the file was not written or copied to its end; use another backup"),
            Flaw::Freelist(_) | Flaw::FreeOutOfRange { .. } | Flaw::FreeTwice | Flaw::FreeAndUsed | Flaw::Lost => {
                Some("the data is whole; writing the file anew cures it")
            }
            _ => None,
        }
    }

    /// Says whether no row of the store is touched by it.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Flaw::OneMeta(_)) || self.code() == "freelist_damaged"
    }
}
