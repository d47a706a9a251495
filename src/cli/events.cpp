#include "cli/events.hpp"

#include "cli/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>

namespace sealine::cli {
namespace {

using Json = nlohmann::ordered_json;

void add(Json& object, const Field& field) {
  const std::string name(field.name);
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    if (is_utf8(*text)) {
      object[name] = *text;
    } else {
      object[name + "_b64"] = base64(*text);
    }
    return;
  }
  std::visit([&](const auto& value) { object[name] = value; }, field.value);
}

std::string logfmt_value(const Value& value) {
  struct {
    std::string operator()(std::nullptr_t) const { return "-"; }

    std::string operator()(bool yes) const { return yes ? "true" : "false"; }

    std::string operator()(std::uint64_t number) const { return fmt::format("{}", number); }

    std::string operator()(double number) const { return fmt::format("{:.3f}", number); }

    std::string operator()(const std::string& text) const {
      const bool is_plain = !text.empty() && std::ranges::all_of(text, [](char c) {
        return c > ' ' && c < 0x7F && c != '"' && c != '=' && c != '\\';
      });
      if (is_plain) return text;
      std::string out = "\"";
      for (const char c : printable(text)) {
        if (c == '"') out += '\\';
        out += c;
      }
      return out + "\"";
    }
  } const show;

  return std::visit(show, value);
}

}  // namespace

std::string utc_text(UnixMillis time) {
  const auto seconds = static_cast<std::time_t>(time / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", parts, time % 1000);
}

std::string encode_event(std::string_view type, const Fields& fields, UnixMillis now) {
  Json object;
  object["v"] = kEventVersion;
  object["t"] = type;
  object["ts"] = utc_text(now);
  for (const Field& field : fields) add(object, field);
  return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string encode_logfmt(std::string_view level, std::string_view message, const Fields& fields,
                          UnixMillis now) {
  std::string out = fmt::format("ts={} level={} msg={}", utc_text(now), level,
                                logfmt_value(std::string(message)));
  for (const Field& field : fields) {
    out += fmt::format(" {}={}", field.name, logfmt_value(field.value));
  }
  return out;
}

std::string encode_json_log(std::string_view level, std::string_view message, const Fields& fields,
                            UnixMillis now) {
  Json object;
  object["ts"] = utc_text(now);
  object["level"] = level;
  object["msg"] = message;
  for (const Field& field : fields) add(object, field);
  return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace sealine::cli
