//! Gemini's generateContent.

use super::{Client, Probe, probe, quiet};
use serde_json::{Value, json};
use trunkline_model::dialect::Dialect;

pub(super) fn client() -> Client {
    Client {
        name: "Gemini generateContent",
        dialect: Dialect::Gemini,
        base: json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], "generationConfig": {"maxOutputTokens": 9000}}),
        probes: [contents(), tools(), parameters(), corners()].into_iter().flatten().collect(),
    }
}

fn said(part: Value) -> Value {
    json!({"contents": [{"role": "user", "parts": [part]}]})
}

fn contents() -> Vec<Probe> {
    let user = json!({"role": "user", "parts": [{"text": "Hello"}]});
    let answered =
        |part: Value| json!({"contents": [user, {"role": "model", "parts": [part, {"text": "Hi"}]}, user]});
    vec![
        probe(
            "`systemInstruction`",
            json!({"systemInstruction": {"parts": [{"text": "SYSTEM-MARK"}]}}),
            &["SYSTEM-MARK"],
        ),
        probe("earlier answer", answered(json!({"text": "EARLIER-MARK"})), &["EARLIER-MARK"]),
        probe(
            "earlier thought",
            answered(json!({"text": "THOUGHT-MARK", "thought": true})),
            &["THOUGHT-MARK"],
        ),
        probe(
            "`thoughtSignature` of an earlier answer",
            answered(json!({"text": "Hm", "thoughtSignature": "U1RBVEUtTUFSSw=="})),
            &["U1RBVEUtTUFSSw=="],
        ),
        probe(
            "picture as data",
            said(json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}})),
            &["iVBORw0KGgo="],
        ),
        probe(
            "picture by URL",
            said(json!({"fileData": {"mimeType": "image/png", "fileUri": "https://files.example/a.png"}})),
            &["https://files.example/a.png"],
        ),
        probe(
            "document as data",
            said(json!({"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjc="}})),
            &["JVBERi0xLjc="],
        ),
        probe(
            "document by URL",
            said(
                json!({"fileData": {"mimeType": "application/pdf", "fileUri": "https://files.example/a.pdf"}}),
            ),
            &["https://files.example/a.pdf"],
        ),
        probe(
            "sound as data",
            said(json!({"inlineData": {"mimeType": "audio/wav", "data": "UklGRgAA"}})),
            &["UklGRgAA"],
        ),
        probe(
            "video as data",
            said(json!({"inlineData": {"mimeType": "video/mp4", "data": "VIDEOAAA"}})),
            &["VIDEOAAA"],
        ),
        probe(
            "file of the Files API",
            said(
                json!({"fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}),
            ),
            &["files/abc"],
        ),
        probe(
            "`videoMetadata`",
            said(
                json!({"inlineData": {"mimeType": "video/mp4", "data": "VIDEOAAA"}, "videoMetadata": {"startOffset": "37s"}}),
            ),
            &["37s"],
        ),
    ]
}

fn tools() -> Vec<Probe> {
    let user = json!({"role": "user", "parts": [{"text": "Hello"}]});
    let tool = json!({"functionDeclarations": [{"name": "tool_mark", "description": "d", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]});
    let choice = |config: Value| json!({"tools": [tool], "toolConfig": {"functionCallingConfig": config}});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "tool_mark", "args": {"city": "CITY-MARK"}}}]});
    let signed = json!({"role": "model", "parts": [{"functionCall": {"name": "tool_mark", "args": {}}, "thoughtSignature": "U1RBVEUtTUFSSw=="}]});
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "tool_mark", "response": {"result": "RESULT-MARK"}}}]});
    vec![
        probe("`functionDeclarations`", json!({"tools": [tool]}), &["tool_mark"]),
        probe("`googleSearch`", json!({"tools": [{"googleSearch": {}}]}), &["googleSearch"]),
        probe("`codeExecution`", json!({"tools": [{"codeExecution": {}}]}), &["codeExecution"]),
        probe("`mode: ANY`", choice(json!({"mode": "ANY"})), &["required|any|ANY|REQUIRED"]),
        probe("`mode: NONE`", choice(json!({"mode": "NONE"})), &["none|NONE"]),
        probe(
            "`allowedFunctionNames`",
            choice(json!({"mode": "ANY", "allowedFunctionNames": ["tool_mark"]})),
            &["tool_choice|toolChoice|toolConfig"],
        ),
        probe(
            "function call and its response",
            json!({"tools": [tool], "contents": [user, call, result]}),
            &["CITY-MARK", "RESULT-MARK"],
        ),
        probe(
            "`thoughtSignature` of a call",
            json!({"tools": [tool], "contents": [user, signed, result]}),
            &["U1RBVEUtTUFSSw=="],
        ),
    ]
}

fn parameters() -> Vec<Probe> {
    let schema = json!({"type": "object", "properties": {"schema_mark": {"type": "string"}}, "required": ["schema_mark"]});
    let set = |name: &str, value: Value| json!({"generationConfig": {name: value}});
    vec![
        probe("`maxOutputTokens`", set("maxOutputTokens", json!(777)), &["777"]),
        probe("`temperature`", set("temperature", json!(0.37)), &["0.37"]),
        probe("`topP`", set("topP", json!(0.37)), &["0.37"]),
        probe("`topK`", set("topK", json!(37)), &["37"]),
        probe("`seed`", set("seed", json!(4711)), &["4711"]),
        probe(
            "`stopSequences`",
            set("stopSequences", json!(["STOP-ONE", "STOP-TWO"])),
            &["STOP-ONE", "STOP-TWO"],
        ),
        probe("`candidateCount`", set("candidateCount", json!(3)), &[":3"]),
        probe("`presencePenalty`", set("presencePenalty", json!(0.37)), &["0.37"]),
        probe("`frequencyPenalty`", set("frequencyPenalty", json!(0.37)), &["0.37"]),
        probe(
            "`responseLogprobs`",
            json!({"generationConfig": {"responseLogprobs": true, "logprobs": 7}}),
            &["7"],
        ),
        probe(
            "`responseMimeType: application/json`",
            set("responseMimeType", json!("application/json")),
            &["json_object|application/json"],
        ),
        probe(
            "`responseSchema`",
            json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}),
            &["schema_mark"],
        ),
        probe(
            "`responseJsonSchema`",
            json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}}),
            &["schema_mark"],
        ),
        probe(
            "`thinkingConfig.thinkingBudget`",
            set("thinkingConfig", json!({"thinkingBudget": 2048})),
            &["2048|low|LOW|medium|enabled"],
        ),
        probe(
            "`thinkingConfig.thinkingLevel`",
            set("thinkingConfig", json!({"thinkingLevel": "low"})),
            &["low|LOW|udget"],
        ),
        probe(
            "`thinkingConfig.includeThoughts`",
            set("thinkingConfig", json!({"includeThoughts": true})),
            &["includeThoughts|summary|summarized"],
        ),
        probe("`responseModalities`", set("responseModalities", json!(["TEXT", "IMAGE"])), &["IMAGE"]),
        probe("`speechConfig`", set("speechConfig", json!({"languageCode": "de-DE"})), &["de-DE"]),
        probe(
            "`mediaResolution`",
            set("mediaResolution", json!("MEDIA_RESOLUTION_LOW")),
            &["MEDIA_RESOLUTION_LOW"],
        ),
        probe(
            "`safetySettings`",
            json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}),
            &["BLOCK_NONE"],
        ),
        probe("`cachedContent`", json!({"cachedContent": "cachedContents/CACHE-MARK"}), &["CACHE-MARK"]),
        probe("unknown parameter", json!({"xUnknown": "UNKNOWN-MARK"}), &["UNKNOWN-MARK"]),
        probe(
            "unknown field of a file",
            json!({"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjQK", "xUnknown": "UNKNOWN-MARK"}}]}]}),
            &["UNKNOWN-MARK"],
        ),
        probe(
            "unknown field of a function call",
            json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}, "xUnknown": "UNKNOWN-MARK"}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "Yes"}}}]}]}),
            &["UNKNOWN-MARK"],
        ),
        probe("unknown setting of generation", set("xUnknown", json!("UNKNOWN-MARK")), &["UNKNOWN-MARK"]),
    ]
}

/// What does nothing by itself, and what nobody knows.
fn corners() -> Vec<Probe> {
    let odd = json!({"name": "tool_mark", "xUnknown": "UNKNOWN-MARK"});
    vec![
        quiet(
            "`thinkingConfig.includeThoughts: false`",
            json!({"generationConfig": {"thinkingConfig": {"includeThoughts": false}}}),
        ),
        probe(
            "`functionCallingConfig` without functions",
            json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
            &["functionCallingConfig"],
        ),
        probe(
            "unknown field of a function",
            json!({"tools": [{"functionDeclarations": [odd]}]}),
            &["UNKNOWN-MARK"],
        ),
        probe(
            "unknown field of a content",
            json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}], "xUnknown": "UNKNOWN-MARK"}]}),
            &["UNKNOWN-MARK"],
        ),
    ]
}
