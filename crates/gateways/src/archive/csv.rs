//! Events as lines of CSV (RFC 4180), as PostgreSQL's `copy … with (format csv, header)` reads them: what is absent is empty, and empty text
//! stands in quotes.

use std::io::{self, Write};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use usage::retention::ArchivedEvent;

/// The names of the columns.
pub(super) const HEADER: &str = "tenant_id,id,source,metric,quantity,occurred_at,received_at,project_id,user_id,model,metadata\n";

/// Writes one line.
pub(super) fn line(out: &mut impl Write, archived: &ArchivedEvent) -> io::Result<()> {
    let event = &archived.event;
    write!(out, "{},", archived.tenant_id)?;
    for text in [&event.id, &event.source, &event.metric] {
        field(out, Some(text))?;
        out.write_all(b",")?;
    }
    let (occurred_at, received_at) = (instant(event.occurred_at)?, instant(event.received_at)?);
    write!(out, "{},{occurred_at},{received_at},", event.quantity)?;
    if let Some(project_id) = event.project_id {
        write!(out, "{project_id}")?;
    }
    for text in [&event.user_id, &event.model, &event.metadata] {
        out.write_all(b",")?;
        field(out, text.as_deref())?;
    }
    out.write_all(b"\n")
}

fn field(out: &mut impl Write, text: Option<&str>) -> io::Result<()> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}

fn instant(at: OffsetDateTime) -> io::Result<String> {
    at.to_offset(UtcOffset::UTC)
        .format(&Rfc3339)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use kernel::TenantId;
    use time::macros::datetime;
    use usage::StoredEvent;

    use super::*;

    #[test]
    fn a_line_tells_absent_from_empty_and_quotes_what_would_break_it() {
        let at = datetime!(2026-08-01 12:00:00.000001 UTC);
        let archived = ArchivedEvent {
            tenant_id: TenantId::from(uuid::Uuid::nil()),
            event: StoredEvent {
                id: "a,1".to_owned(),
                source: "say \"hi\"".to_owned(),
                metric: "chat".to_owned(),
                quantity: 7.into(),
                occurred_at: at,
                received_at: at,
                project_id: None,
                user_id: Some(String::new()),
                model: None,
                metadata: Some("{\"a\": \"x\ny\"}".to_owned()),
                dedup: uuid::Uuid::nil(),
            },
        };
        let mut out = Vec::new();
        line(&mut out, &archived).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "00000000-0000-0000-0000-000000000000,\"a,1\",\"say \"\"hi\"\"\",chat,7,2026-08-01T12:00:00.000001Z,\
             2026-08-01T12:00:00.000001Z,,\"\",,\"{\"\"a\"\": \"\"x\ny\"\"}\"\n"
        );
        assert_eq!(HEADER.matches(',').count(), 10);
    }
}
