#pragma once

#include <string>
#include <string_view>

namespace sealine::cli {

/// 'text' in quotes; what is no printable character is shown as \xNN, so that a name can neither
/// move the cursor nor pretend to be another line.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// The same without quotes, and whole UTF-8 characters above U+009F are left as they are.
[[nodiscard]] std::string printable(std::string_view text);

/// A word for a POSIX shell: in single quotes where it needs them.
[[nodiscard]] std::string shell_word(std::string_view text);

/// Whether the bytes are well-formed UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text);

/// RFC 4648 base64 with padding.
[[nodiscard]] std::string base64(std::string_view bytes);

}  // namespace sealine::cli
