#include "devices/aml.h"

namespace penumbra::devices::aml {

namespace {

// Opcodes (20.3).
constexpr u8 kZero = 0x00, kOne = 0x01, kName = 0x08, kBytePrefix = 0x0a, kWordPrefix = 0x0b,
             kDwordPrefix = 0x0c, kQwordPrefix = 0x0e, kScope = 0x10, kBuffer = 0x11,
             kPackage = 0x12, kMethod = 0x14, kDualName = 0x2e, kMultiName = 0x2f, kExtended = 0x5b,
             kRoot = 0x5c, kArg0 = 0x68, kStore = 0x70, kDevice = 0x82, kIf = 0xa0, kReturn = 0xa4;
constexpr size_t kSegment = 4;

void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void append_number(Bytes& bytes, u64 value, u32 size) {
  for (u32 i = 0; i < size; ++i) bytes.push_back(static_cast<u8>(value >> (8 * i)));
}

/// PkgLength (20.2.4) counts itself and `body`.
Bytes sized(const Bytes& body) {
  Bytes bytes;
  if (body.size() + 1 < 64) {
    bytes.push_back(static_cast<u8>(body.size() + 1));
  } else {
    u32 extra = body.size() + 2 < (1u << 12) ? 1 : body.size() + 3 < (1u << 20) ? 2 : 3;
    u64 length = body.size() + 1 + extra;
    bytes.push_back(static_cast<u8>(extra << 6 | (length & 15)));
    append_number(bytes, length >> 4, extra);
  }
  append(bytes, body);
  return bytes;
}

Bytes prefixed(std::initializer_list<u8> opcode, const Bytes& rest) {
  Bytes bytes(opcode);
  append(bytes, rest);
  return bytes;
}

/// Address space descriptor with word or dword fields (6.4.3.5).
Bytes address_space(u32 field_size, std::initializer_list<u8> flags, u64 first, u64 last) {
  Bytes bytes = {static_cast<u8>(field_size == 2 ? 0x88 : 0x87)};
  append_number(bytes, 3 + 5 * field_size, 2);
  append(bytes, flags);
  for (u64 value : {u64{0}, first, last, u64{0}, last - first + 1})
    append_number(bytes, value, field_size);
  return bytes;
}

// General flags (6.4.3.5): minimum and maximum are fixed, positive decode, resource producer.
constexpr u8 kFixedWindow = 0x0c;
constexpr u8 kTypeMemory = 0, kTypeIo = 1, kTypeBus = 2;

}  // namespace

Bytes concat(std::initializer_list<Bytes> terms) {
  Bytes bytes;
  for (const Bytes& term : terms) append(bytes, term);
  return bytes;
}

Bytes integer(u64 value) {
  if (value == 0) return {kZero};
  if (value == 1) return {kOne};
  u32 size = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
  Bytes bytes = {size == 1   ? kBytePrefix
                 : size == 2 ? kWordPrefix
                 : size == 4 ? kDwordPrefix
                             : kQwordPrefix};
  append_number(bytes, value, size);
  return bytes;
}

/// "PNP0501": three letters of five bits, four hexadecimal digits, big-endian (19.3.4).
Bytes eisa_id(std::string_view id) {
  u32 value = 0;
  for (size_t i = 0; i < 3; ++i) value = value << 5 | static_cast<u32>(id[i] - 0x40);
  for (size_t i = 3; i < 7; ++i)
    value = value << 4 | static_cast<u32>(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
  Bytes bytes = {kDwordPrefix};
  append_number(bytes, __builtin_bswap32(value), 4);
  return bytes;
}

Bytes buffer(const Bytes& contents) {
  return prefixed({kBuffer}, sized(concat({integer(contents.size()), contents})));
}

Bytes package(const std::vector<Bytes>& elements) {
  Bytes body = {static_cast<u8>(elements.size())};
  for (const Bytes& element : elements) append(body, element);
  return prefixed({kPackage}, sized(body));
}

Bytes path(std::string_view name) {
  Bytes bytes;
  if (name.starts_with('\\')) {
    bytes.push_back(kRoot);
    name.remove_prefix(1);
  }
  size_t segments = (name.size() + 1) / (kSegment + 1);
  if (segments == 0) bytes.push_back(kZero);
  if (segments == 2) bytes.push_back(kDualName);
  if (segments > 2) append(bytes, {kMultiName, static_cast<u8>(segments)});
  for (char letter : name)
    if (letter != '.') bytes.push_back(static_cast<u8>(letter));
  return bytes;
}

Bytes name(std::string_view name, const Bytes& object) {
  return prefixed({kName}, concat({path(name), object}));
}

Bytes scope(std::string_view name, const Bytes& body) {
  return prefixed({kScope}, sized(concat({path(name), body})));
}

Bytes device(std::string_view name, const Bytes& body) {
  return prefixed({kExtended, kDevice}, sized(concat({path(name), body})));
}

Bytes method(std::string_view name, u8 arguments, const Bytes& body) {
  return prefixed({kMethod}, sized(concat({path(name), {arguments}, body})));
}

Bytes argument(u8 index) { return {static_cast<u8>(kArg0 + index)}; }

Bytes store(const Bytes& source, const Bytes& target) {
  return prefixed({kStore}, concat({source, target}));
}

Bytes if_(const Bytes& condition, const Bytes& body) {
  return prefixed({kIf}, sized(concat({condition, body})));
}

Bytes return_(const Bytes& value) { return prefixed({kReturn}, value); }

Bytes io(u16 first, u8 length) {
  Bytes bytes = {0x47, 0x01};  // decodes 16 bits
  append_number(bytes, first, 2);
  append_number(bytes, first, 2);
  append(bytes, {0x01, length});
  return bytes;
}

Bytes irq(u8 number) {
  Bytes bytes = {0x22};  // edge-triggered, active high, exclusive
  append_number(bytes, 1u << number, 2);
  return bytes;
}

Bytes bus_numbers(u16 first, u16 last) {
  return address_space(2, {kTypeBus, kFixedWindow, 0}, first, last);
}

Bytes io_window(u16 first, u16 last) {
  return address_space(2, {kTypeIo, kFixedWindow, 3}, first, last);  // ISA and non-ISA ranges
}

Bytes memory_window(u32 first, u32 last) {
  return address_space(4, {kTypeMemory, kFixedWindow, 1}, first, last);  // read-write, uncached
}

Bytes resources(std::initializer_list<Bytes> descriptors) {
  Bytes bytes = concat(descriptors);
  append(bytes, {0x79, 0x00});  // checksum 0: none
  return buffer(bytes);
}

}  // namespace penumbra::devices::aml
