//! Texts with rules of their own, as schemas. The rules themselves are in the domains; a name here stands for one of them in the document.

use utoipa::ToSchema;

/// 1 to 255 characters after trimming, no control characters.
#[derive(ToSchema)]
#[schema(
    pattern = r"^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]([^\x00-\x1f\x7f-\x9f]{0,253}[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct Name(String);

/// An e-mail address in ASCII.
#[derive(ToSchema)]
#[schema(
    format = "email",
    min_length = 5,
    max_length = 254,
    pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$"
)]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EmailAddress(String);

/// 10 to 256 characters.
#[derive(ToSchema)]
#[schema(min_length = 10, max_length = 256, pattern = r"^[^\x00]*$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewPassword(String);

/// 3 to 40 lower-case letters, digits and single dashes.
#[derive(ToSchema)]
#[schema(min_length = 3, max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct TenantSlug(String);

/// 2 to 40 lower-case letters, digits and single dashes.
#[derive(ToSchema)]
#[schema(min_length = 2, max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ProjectSlug(String);

/// 1 to 39 lower-case letters, digits and dashes.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z][a-z0-9-]{0,38}$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct EnvironmentName(String);

/// What events call a meter.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z][a-z0-9_.]{0,63}$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct MeterKey(String);

/// The name of a field of an event.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct FieldName(String);

/// The name of a field of an event, or `$.` and the names on the way to one in its metadata, with points between them.
#[derive(ToSchema)]
#[schema(pattern = r"^([A-Za-z0-9_-]{1,64}|\$(\.[A-Za-z0-9_-]{1,64}){1,8})$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ValuePath(String);

/// At most 255 characters, no control characters.
#[derive(ToSchema)]
#[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct ShortText(String);
