#include "stcp/detail/settings.hpp"

namespace sealine::stcp::detail {

ByteArray<kSettingsBytes> encode(const Settings& settings) { return {settings.max_record_log2, 0}; }

Result<Settings> parse_settings(FixedView<kSettingsBytes> bytes) {
  const Settings settings{bytes[0]};
  const bool in_range = settings.max_record_log2 >= Settings::kMinRecordLog2 &&
                        settings.max_record_log2 <= Settings::kMaxRecordLog2;
  if (!in_range || bytes[1] != 0) return fail(Errc::bad_settings);
  return settings;
}

}  // namespace sealine::stcp::detail
