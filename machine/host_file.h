// Whole files of the host, read with errors that a user understands.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra::machine {

/// The bytes of a regular file of 1..limit bytes. The error is one line: "FILE: what is wrong".
std::expected<std::vector<u8>, std::string> read_host_file(const std::string& path, u64 limit);

}  // namespace penumbra::machine
