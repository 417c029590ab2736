//! Functions that make something as large as a number says. Nothing bounds Rhai's own, since its limits are off (see
//! [`crate::memory`]), and no signal ends them.

use rhai::{Array, Blob, Dynamic, Engine, FuncRegistration, INT, ImmutableString};

use crate::error::Thrown;

/// The most items or bytes that one call makes.
const MOST: usize = 16 << 20;

/// Teaches an engine the functions.
pub fn register(engine: &mut Engine) {
    let pad = |types: [&str; 3]| {
        FuncRegistration::new("pad")
            .with_params_info(types.into_iter().chain(["()"]))
            .with_comments(["/// Makes a text, an array or a blob at least so long, by adding the same at its end."])
    };
    pad(["text: string", "length: int", "with: char"])
        .register_into_engine(engine, |text: &mut ImmutableString, length: INT, with: char| {
            fill(text, length, with.encode_utf8(&mut [0; 4]))
        });
    pad(["text: string", "length: int", "with: string"])
        .register_into_engine(engine, |text: &mut ImmutableString, length: INT, with: &str| fill(text, length, with));
    pad(["list: array", "length: int", "with: any"]).register_into_engine(
        engine,
        |list: &mut Array, length: INT, with: Dynamic| -> Thrown<()> {
            list.resize(size(length)?.max(list.len()), with);
            Ok(())
        },
    );
    pad(["blob: blob", "length: int", "with: int"]).register_into_engine(
        engine,
        |blob: &mut Blob, length: INT, with: INT| -> Thrown<()> {
            blob.resize(size(length)?.max(blob.len()), byte(with));
            Ok(())
        },
    );
    let blob = |params: &[&str]| {
        FuncRegistration::new("blob")
            .with_params_info(params)
            .with_comments(["/// Makes a blob of so many bytes; they are 0 unless something else is given."])
    };
    blob(&["length: int", "blob"])
        .register_into_engine(engine, |length: INT| -> Thrown<Blob> { Ok(vec![0; size(length)?]) });
    blob(&["length: int", "byte: int", "blob"])
        .register_into_engine(engine, |length: INT, with: INT| -> Thrown<Blob> { Ok(vec![byte(with); size(length)?]) });
}

fn fill(text: &mut ImmutableString, length: INT, with: &str) -> Thrown<()> {
    let lacking = size(length)?.saturating_sub(text.chars().count());
    let more: String = with.chars().cycle().take(lacking).collect();
    text.make_mut().push_str(&more);
    Ok(())
}

/// Reads a length; a negative one is none.
fn size(length: INT) -> Thrown<usize> {
    let size = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    if size > MOST {
        Err(format!("a length of {length} is too large; at most {MOST} is possible").into())
    } else {
        Ok(size)
    }
}

fn byte(number: INT) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}
