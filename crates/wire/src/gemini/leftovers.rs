//! What parts say under names that have no canonical form.
//!
//! Owns the lists of the names that are read, in both spellings. Must not judge the values. Each leftover is kept as an extra under its
//! path, so that no encoder can lose it without a warning. What is empty says nothing.

use super::request_decode::keep;
use crate::codec::BadRequest;
use crate::cursor::At;
use trunkline_model::request::ChatRequest;

/// Most extras of a request: by then it has been said often enough that something is left out.
pub(super) const MOST: usize = 64;
const PART: &[&str] = &[
    "text",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "thought",
    "thoughtSignature",
    "thought_signature",
    "videoMetadata",
    "video_metadata",
    "mediaResolution",
    "media_resolution",
    "partMetadata",
    "part_metadata",
];
/// What is read of contents, of the parts of instructions, of how functions are called, and beside a request whose tokens are counted.
pub(super) const CONTENT: &[&str] = &["role", "parts"];
pub(super) const INSTRUCTION: &[&str] = &["text"];
pub(super) const CALLING: &[&str] = &["mode", "allowedFunctionNames", "allowed_function_names"];
pub(super) const COUNT: &[&str] =
    &["model", "contents", "generateContentRequest", "generate_content_request"];
const CALL: &[&str] = &[
    "id",
    "name",
    "args",
    // Of an answer that is over.
    "willContinue",
    "will_continue",
];
const RESPONSE: &[&str] = &["id", "name", "response", "parts"];
const RESPONSE_PART: &[&str] = &["inlineData", "inline_data", "fileData", "file_data"];
const BLOB: &[&str] = &["mimeType", "mime_type", "data", "displayName", "display_name"];
const FILE: &[&str] = &["mimeType", "mime_type", "fileUri", "file_uri", "displayName", "display_name"];

/// Keeps the leftovers of a part that is read; other parts are kept whole.
pub(super) fn of_part(part: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    keep_others(part, PART, request)?;
    if let Some(call) = part.either("functionCall", "function_call") {
        keep_others(&call, CALL, request)?;
    }
    if let Some(response) = part.either("functionResponse", "function_response") {
        keep_others(&response, RESPONSE, request)?;
        if let Some(files) = response.optional("parts") {
            for file in files.items()? {
                keep_others(&file, RESPONSE_PART, request)?;
                of_file(&file, request)?;
            }
        }
    }
    of_file(part, request)
}

fn of_file(part: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    if let Some(blob) = part.either("inlineData", "inline_data") {
        keep_others(&blob, BLOB, request)?;
    }
    if let Some(file) = part.either("fileData", "file_data") {
        keep_others(&file, FILE, request)?;
    }
    Ok(())
}

/// Keeps what a value says besides what is read of it.
pub(super) fn keep_others(
    value: &At<'_>,
    known: &'static [&'static str],
    request: &mut ChatRequest,
) -> Result<(), BadRequest> {
    for other in value.others(known) {
        if request.extras.len() < MOST {
            keep(request, other.path(), &other)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::codec::PathParts;
    use trunkline_model::dialect::Operation;
    use trunkline_model::request::Request;

    #[test]
    fn what_parts_calls_and_files_say_besides_is_kept_under_its_path() {
        let body = br#"{"contents":[
            {"role":"user","parts":[
                {"text":"a","zap":1},
                {"inlineData":{"mimeType":"image/png","data":"aa","displayName":"n","zap":1}},
                {"file_data":{"file_uri":"https://a.example/b.pdf","mime_type":"application/pdf","zap":{"a":1},"zip":""}},
                {"sparkle":{"zap":1}}]},
            {"role":"model","parts":[{"functionCall":{"id":"c","name":"f","args":{"zap":1},"willContinue":false,"partialArgs":[1]}}]},
            {"role":"user","parts":[{"functionResponse":{"id":"c","name":"f","response":{"zap":1},"scheduling":"SILENT",
                "parts":[{"inlineData":{"mimeType":"image/png","data":"aa","zap":1},"zip":true}]}}]}],
            "generationConfig":{"logprobs":3}}"#;
        let path = PathParts { model: Some("m".to_owned()), ..PathParts::default() };
        let Request::Chat(request) = super::super::decode_request(Operation::Chat, body, &path).unwrap()
        else {
            panic!("a chat request decodes to a chat request")
        };
        let names: Vec<&str> = request.extras.iter().map(|extra| extra.name.as_str()).collect();
        let expected = [
            "contents[0].parts[0].zap",
            "contents[0].parts[1].inlineData.zap",
            "contents[0].parts[2].file_data.zap",
            "contents[1].parts[0].functionCall.partialArgs",
            "contents[2].parts[0].functionResponse.scheduling",
            "contents[2].parts[0].functionResponse.parts[0].zip",
            "contents[2].parts[0].functionResponse.parts[0].inlineData.zap",
            "generationConfig.logprobs",
        ];
        assert_eq!(names, expected);
    }
}
