// A small writer of ACPI machine language (ACPI Specification 6.4, chapter 20): bytes that nest.
//
// Each function returns the encoding of one term; bodies are concatenations of terms. Only what
// the board's DSDT uses. Paths are written as in ASL: "\\_SB", "PCI0", "_CRS".
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "common/types.h"

namespace penumbra::devices::aml {

using Bytes = std::vector<u8>;

Bytes concat(std::initializer_list<Bytes> terms);

// Data objects (20.2.3).
Bytes integer(u64 value);
Bytes eisa_id(std::string_view id);
Bytes buffer(const Bytes& contents);
Bytes package(const std::vector<Bytes>& elements);

// Named objects (20.2.5).
Bytes path(std::string_view name);
Bytes name(std::string_view name, const Bytes& object);
Bytes scope(std::string_view name, const Bytes& body);
Bytes device(std::string_view name, const Bytes& body);
Bytes method(std::string_view name, u8 arguments, const Bytes& body);

// Statements.
Bytes argument(u8 index);
Bytes store(const Bytes& source, const Bytes& target);
Bytes if_(const Bytes& condition, const Bytes& body);
Bytes return_(const Bytes& value);

// Resource descriptors (6.4.2, 6.4.3); resources() adds the end tag.
Bytes io(u16 first, u8 length);
Bytes irq(u8 number);
Bytes bus_numbers(u16 first, u16 last);
Bytes io_window(u16 first, u16 last);
Bytes memory_window(u32 first, u32 last);
Bytes resources(std::initializer_list<Bytes> descriptors);

}  // namespace penumbra::devices::aml
