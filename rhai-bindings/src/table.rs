//! Tables for people. A map of Rhai's has forgotten the order of its columns, so the order is found again by comparing its
//! keys with the columns of the catalogue; sizes and spans are then shown with their units.

use std::sync::LazyLock;

use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use etcdsh_core::args::Kind;
use etcdsh_core::catalogue::CATALOGUE;
use etcdsh_core::report::Column;
use etcdsh_core::units::escape;
use rhai::{Array, Dynamic, ImmutableString, Map};

/// What a table is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// How many characters fit in a line; `None` where nobody looks, as in a pipe.
    pub width: Option<u16>,
    /// How many rows are shown at most.
    pub rows: usize,
    /// Whether headers are bold.
    pub colour: bool,
}

/// The narrowest that a column of long texts is made before columns are left out.
const NARROW: usize = 14;

/// All forms of records in the catalogue, those inside of others too.
static FORMS: LazyLock<Vec<&'static [Column]>> = LazyLock::new(|| {
    let mut forms = Vec::new();
    CATALOGUE.iter().for_each(|entry| collect(entry.shape.columns(), &mut forms));
    forms
});

fn collect(columns: &'static [Column], forms: &mut Vec<&'static [Column]>) {
    forms.push(columns);
    for column in columns {
        let mut kind = column.kind;
        while let Kind::List(item) = kind {
            kind = *item;
        }
        if let Kind::Record(inner) = kind {
            collect(inner, forms);
        }
    }
}

/// A column of a table at hand.
struct Head {
    name: String,
    kind: Kind,
}

/// Returns the columns that a map has in the catalogue, where it has exactly those of one of its answers.
pub fn form(map: &Map) -> Option<&'static [Column]> {
    let fits = |form: &&&'static [Column]| form.len() == map.len() && form.iter().all(|c| map.contains_key(c.name));
    FORMS.iter().find(fits).copied()
}

/// Returns the columns of a map in order; those of a map that a script has made, in the order of the alphabet.
fn heads(map: &Map) -> Vec<Head> {
    match form(map) {
        Some(form) => form.iter().map(|c| Head { name: c.name.to_owned(), kind: c.kind }).collect(),
        None => map.keys().map(|name| Head { name: name.to_string(), kind: Kind::Map }).collect(),
    }
}

/// Draws a list of maps; `None` if it is not one.
pub fn table(rows: &Array, canvas: Canvas) -> Option<String> {
    let mut heads = heads(&*rows.first()?.read_lock::<Map>()?);
    for row in rows {
        // A later row may have fields that the first one lacks; a row that is no map makes this no table.
        let row = row.read_lock::<Map>()?;
        for name in row.keys().filter(|name| !heads.iter().any(|head| head.name == name.as_str())).collect::<Vec<_>>() {
            heads.push(Head { name: name.to_string(), kind: Kind::Map });
        }
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .take(canvas.rows)
        .map(|row| {
            let row = row.read_lock::<Map>();
            let cell =
                |head: &Head| row.as_ref().and_then(|row| row.get(head.name.as_str()).map(|v| text(v, head.kind)));
            heads.iter().map(|head| cell(head).unwrap_or_default()).collect()
        })
        .collect();
    let kept = fitting(&heads, &cells, canvas.width);
    let mut table = blank(canvas);
    let bold = |cell: Cell| if canvas.colour { cell.add_attribute(Attribute::Bold) } else { cell };
    table.set_header(kept.iter().filter_map(|at| heads.get(*at)).map(|head| bold(Cell::new(&head.name))));
    for row in &cells {
        table.add_row(
            kept.iter()
                .filter_map(|at| Some((row.get(*at)?, heads.get(*at)?)))
                .map(|(text, head)| Cell::new(text).set_alignment(alignment(head.kind))),
        );
    }
    let mut drawn = table.trim_fmt();
    let left_out: Vec<_> = (0..heads.len()).filter(|at| !kept.contains(at)).filter_map(|at| heads.get(at)).collect();
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.iter().map(|head| head.name.as_str()).collect();
        drawn.push_str(&format!("\nnot shown: {}", names.join(", ")));
    }
    if rows.len() > canvas.rows {
        drawn.push_str(&format!("\n{} of {} rows shown", canvas.rows, rows.len()));
    }
    Some(drawn)
}

/// Draws one map, a line for each field.
pub fn record(map: &Map, canvas: Canvas) -> String {
    let mut table = blank(canvas);
    let bold = |cell: Cell| if canvas.colour { cell.add_attribute(Attribute::Bold) } else { cell };
    let heads = heads(map);
    let widest = heads.iter().map(|head| head.name.chars().count()).max().unwrap_or_default();
    for head in &heads {
        let value = map.get(head.name.as_str()).map(|value| lines(value, head.kind)).unwrap_or_default();
        table.add_row([bold(Cell::new(&head.name)), Cell::new(value)]);
    }
    if let (Some(column), Ok(widest)) = (table.column_mut(0), u16::try_from(widest + 2)) {
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(widest)));
    }
    table.trim_fmt()
}

fn blank(canvas: Canvas) -> Table {
    let mut table = Table::new();
    match canvas.width {
        Some(width) => {
            table.load_style(presets::UTF8_FULL_CONDENSED).set_width(width);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        // Easy on `awk` and `grep`: columns of spaces, one line for each row.
        None => drop(table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled)),
    }
    if canvas.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// Chooses the columns that fit: all of them if they do; else not those without any value; else as many as fit from the
/// left, and those that say what is wrong.
fn fitting(heads: &[Head], cells: &[Vec<String>], width: Option<u16>) -> Vec<usize> {
    let all: Vec<usize> = (0..heads.len()).collect();
    let Some(width) = width.map(usize::from) else { return all };
    let natural = |at: usize| {
        let head = heads.get(at).map_or(0, |head| head.name.chars().count());
        cells.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count()).chain([head]).max().unwrap_or(0)
    };
    // A border and two blanks around each column, and the last border.
    let needed =
        |columns: &[usize], limit: usize| columns.iter().map(|at| natural(*at).min(limit) + 3).sum::<usize>() + 1;
    if needed(&all, usize::MAX) <= width {
        return all;
    }
    let filled = |at: &usize| cells.iter().filter_map(|row| row.get(*at)).any(|text| !text.is_empty());
    let mut kept: Vec<usize> = all.into_iter().filter(filled).collect();
    while kept.len() > 1 && needed(&kept, NARROW) > width {
        let tells = |at: &usize| heads.get(*at).is_some_and(|head| matches!(head.name.as_str(), "verdict" | "error"));
        let last = kept.iter().rposition(|at| !tells(at)).unwrap_or(kept.len() - 1);
        kept.remove(last);
    }
    kept
}

fn alignment(kind: Kind) -> CellAlignment {
    match kind {
        Kind::Int | Kind::Float | Kind::Size | Kind::Elapsed => CellAlignment::Right,
        _ => CellAlignment::Left,
    }
}

/// Shows a value in one line.
pub fn text(value: &Dynamic, kind: Kind) -> String {
    match (kind, value.as_int()) {
        (Kind::Size, Ok(bytes)) => return size(bytes),
        (Kind::Elapsed, Ok(nanoseconds)) => return span(nanoseconds),
        _ => {}
    }
    if value.is_unit() {
        String::new()
    } else if let Some(text) = value.read_lock::<ImmutableString>() {
        escape(&text).replace('\n', "\\n").replace('\t', "\\t")
    } else if let Some(items) = value.read_lock::<Array>() {
        let item = if let Kind::List(item) = kind { *item } else { Kind::Map };
        items.iter().map(|value| text(value, item)).collect::<Vec<_>>().join(", ")
    } else if let Some(map) = value.read_lock::<Map>() {
        let field = |head: Head| map.get(head.name.as_str()).map(|v| format!("{}: {}", head.name, text(v, head.kind)));
        let fields: Vec<_> = heads(&map).into_iter().filter_map(field).collect();
        format!("{{{}}}", fields.join(", "))
    } else {
        escape(&value.to_string())
    }
}

/// Shows a value with a line for each item of a list.
fn lines(value: &Dynamic, kind: Kind) -> String {
    match (value.read_lock::<Array>(), kind) {
        (Some(items), Kind::List(item)) => items.iter().map(|v| text(v, *item)).collect::<Vec<_>>().join("\n"),
        (Some(items), _) => items.iter().map(|v| text(v, Kind::Map)).collect::<Vec<_>>().join("\n"),
        (None, _) => text(value, kind),
    }
}

/// Writes a size in the unit that fits: `20.4 kB`.
pub fn size(bytes: i64) -> String {
    scaled(bytes, &[(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")])
        .unwrap_or_else(|| format!("{bytes} B"))
}

/// Writes a span of time in the unit that fits: `1.2 ms`.
pub fn span(nanoseconds: i64) -> String {
    let second = 1_000_000_000;
    let units = [
        (86_400 * second, "d"),
        (3_600 * second, "h"),
        (60 * second, "min"),
        (second, "s"),
        (1_000_000, "ms"),
        (1_000, "µs"),
    ];
    scaled(nanoseconds, &units).unwrap_or_else(|| format!("{nanoseconds} ns"))
}

/// Writes a number with one decimal in the largest unit that it reaches.
fn scaled(number: i64, units: &[(i64, &str)]) -> Option<String> {
    let (unit, name) = units.iter().find(|(unit, _)| number.saturating_abs() >= *unit)?;
    // Tenths, so that no float is needed: the sizes of a busy cluster should not be rounded twice.
    let tenths = (i128::from(number) * 10) / i128::from(*unit);
    Some(format!("{}.{} {name}", tenths / 10, (tenths % 10).abs()))
}
