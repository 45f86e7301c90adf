/* The zip archive of tools/formats/npy.h. Sizes and offsets come from the central directory, with zip64 fields
 * where the 32-bit ones are full; numpy.savez writes stored members, savez_compressed deflated ones. */
#include "tools/formats/file_error.h"
#include "tools/formats/npy.h"

#include <stdlib.h>
#include <string.h>

#ifdef NORMA_HAVE_ZLIB
#include <zlib.h>
#endif

static uint64_t read_little(const unsigned char *bytes, size_t count) {
  uint64_t number = 0;
  for (size_t i = count; i-- > 0;) number = number << 8 | bytes[i];
  return number;
}

bool npz_recognise(const void *bytes, size_t size) {
  return size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

static norma_status damaged(norma_error *error, const char *what) {
  return set_error(error, NORMA_ERROR_FORMAT, "damaged .npz file: %s", what);
}

typedef struct zip_directory {
  uint64_t offset, size, count;
} zip_directory;

/* Finds the end record, which stands in the last 22 bytes or, before a comment, in the last 64 KiB. */
static bool find_directory(const unsigned char *bytes, size_t size, zip_directory *result) {
  if (size < 22) return false;
  size_t at = size - 22;
  size_t lowest = at > 65535 ? at - 65535 : 0;
  while (memcmp(bytes + at, "PK\5\6", 4) != 0) {
    if (at == lowest) return false;
    at--;
  }
  result->count = read_little(bytes + at + 10, 2);
  result->size = read_little(bytes + at + 12, 4);
  result->offset = read_little(bytes + at + 16, 4);
  bool wide = result->count == 0xFFFF || result->size == 0xFFFFFFFF || result->offset == 0xFFFFFFFF;
  if (wide && at >= 20 && memcmp(bytes + at - 20, "PK\6\7", 4) == 0) {
    uint64_t record = read_little(bytes + at - 20 + 8, 8);
    if (record > size || size - record < 56 || memcmp(bytes + record, "PK\6\6", 4) != 0) return false;
    result->count = read_little(bytes + record + 32, 8);
    result->size = read_little(bytes + record + 40, 8);
    result->offset = read_little(bytes + record + 48, 8);
  }
  /* A member takes at least 46 bytes there: this bounds the count by what is really in the file. */
  return result->offset <= size && result->size <= size - result->offset && result->count <= result->size / 46;
}

/* The 64-bit values of an extra field replace those that are full, in this order. */
static void read_zip64(const unsigned char *extra, size_t extra_size, uint64_t *sizes[3]) {
  while (extra_size >= 4) {
    size_t id = (size_t)read_little(extra, 2), length = (size_t)read_little(extra + 2, 2);
    if (length > extra_size - 4) return;
    if (id == 1) {
      const unsigned char *at = extra + 4;
      size_t left = length;
      for (int i = 0; i < 3 && left >= 8; i++) {
        if (*sizes[i] != 0xFFFFFFFF) continue;
        *sizes[i] = read_little(at, 8);
        at += 8;
        left -= 8;
      }
    }
    extra += 4 + length;
    extra_size -= 4 + length;
  }
}

/* Reads the directory entry at `at`, of `left` bytes; *used becomes its length. */
static norma_status read_member(const unsigned char *archive, size_t archive_size, const unsigned char *at, size_t left,
                                npz_member *member, size_t *used, norma_error *error) {
  if (left < 46 || memcmp(at, "PK\1\2", 4) != 0) return damaged(error, "its directory ends early");
  size_t name = (size_t)read_little(at + 28, 2), extra = (size_t)read_little(at + 30, 2);
  size_t comment = (size_t)read_little(at + 32, 2);
  *used = 46 + name + extra + comment;
  if (*used > left) return damaged(error, "its directory ends early");
  uint64_t packed_size = read_little(at + 20, 4), size = read_little(at + 24, 4), offset = read_little(at + 42, 4);
  uint64_t *wide[3] = {&size, &packed_size, &offset};
  read_zip64(at + 46 + name, extra, wide);
  if (read_little(at + 8, 2) & 1) return set_error(error, NORMA_ERROR_UNSUPPORTED, "the .npz file is encrypted");
  if (offset > archive_size || archive_size - offset < 30 || memcmp(archive + offset, "PK\3\4", 4) != 0) {
    return damaged(error, "a member is not where its directory says");
  }
  uint64_t start = offset + 30 + read_little(archive + offset + 26, 2) + read_little(archive + offset + 28, 2);
  if (start > archive_size || packed_size > archive_size - start) return damaged(error, "a member ends after the file");
  if (name >= 4 && memcmp(at + 46 + name - 4, ".npy", 4) == 0) name -= 4;
  *member = (npz_member){.name = (const char *)at + 46,
                         .name_size = name,
                         .method = (int)read_little(at + 10, 2),
                         .crc = (uint32_t)read_little(at + 16, 4),
                         .packed_size = (size_t)packed_size,
                         .size = (size_t)size,
                         .packed = archive + start};
  return NORMA_OK;
}

norma_status npz_list(const void *bytes, size_t size, npz_member **members, size_t *count, norma_error *error) {
  const unsigned char *archive = bytes;
  zip_directory directory;
  *members = NULL;
  *count = 0;
  if (!find_directory(archive, size, &directory)) return damaged(error, "it has no directory (is it complete?)");
  npz_member *list = calloc((size_t)directory.count + 1, sizeof *list);
  if (!list) return set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory for the members of the .npz file");
  const unsigned char *at = archive + directory.offset;
  size_t left = (size_t)directory.size;
  for (size_t i = 0; i < directory.count; i++) {
    size_t used = 0;
    norma_status status = read_member(archive, size, at, left, &list[i], &used, error);
    if (status != NORMA_OK) {
      free(list);
      return status;
    }
    at += used;
    left -= used;
  }
  *members = list;
  *count = (size_t)directory.count;
  return NORMA_OK;
}

/* CRC-32 of IEEE 802.3, reflected, four bits at a time. */
static uint32_t crc_32(const unsigned char *bytes, size_t size) {
  uint32_t table[16], crc = 0xFFFFFFFFu;
  for (uint32_t i = 0; i < 16; i++) {
    table[i] = i;
    for (int bit = 0; bit < 4; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
  }
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

#ifdef NORMA_HAVE_ZLIB
static norma_status inflate_member(const npz_member *member, unsigned char *to, norma_error *error) {
  z_stream stream = {0};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
  size_t read = 0, written = 0;
  int code = Z_OK;
  while (code == Z_OK && written <= member->size) { /* zlib counts in 32 bits */
    size_t in = member->packed_size - read, out = member->size - written;
    stream.next_in = (unsigned char *)member->packed + read;
    stream.avail_in = in > 1u << 30 ? 1u << 30 : (uInt)in;
    unsigned char spare; /* room for the end mark of data that fill their place exactly */
    stream.next_out = out > 0 ? to + written : &spare;
    stream.avail_out = out > 1u << 30 ? 1u << 30 : (uInt)out;
    uInt in_before = stream.avail_in, out_before = stream.avail_out;
    code = inflate(&stream, Z_NO_FLUSH);
    read += in_before - stream.avail_in;
    written += out_before - stream.avail_out;
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END || written != member->size) return damaged(error, "a member cannot be unpacked");
  return NORMA_OK;
}
#else
static norma_status inflate_member(const npz_member *member, unsigned char *to, norma_error *error) {
  (void)member;
  (void)to;
  return set_error(error, NORMA_ERROR_UNSUPPORTED,
                   "the .npz file is compressed and this program was built without zlib: use numpy.savez");
}
#endif

bool npz_stored(const npz_member *member, const void **bytes, size_t *size) {
  *bytes = member->packed;
  *size = member->packed_size;
  return member->method == 0 && member->size == member->packed_size;
}

/* The bytes of a member, which are checked against its checksum; where they are packed *unpacked is a value that holds
 * them, so that they count against the runtime's budget. */
static norma_status member_bytes(norma_runtime *runtime, const npz_member *member, norma_value **unpacked,
                                 const unsigned char **bytes, norma_error *error) {
  *bytes = member->packed;
  if (member->method == 8) {
    /* deflate makes at most 258 bytes out of two bits: a larger claim would only ask for memory */
    if (member->size / 1032 > member->packed_size) return damaged(error, "a member claims a size that it cannot have");
    const int64_t size = (int64_t)member->size;
    TRY(norma_value_allocate_tensor(runtime, NORMA_UINT8, 1, &size, unpacked, error));
    TRY(inflate_member(member, norma_value_tensor(*unpacked)->data, error));
    *bytes = norma_value_tensor(*unpacked)->data;
  } else if (member->method != 0) {
    return set_error(error, NORMA_ERROR_UNSUPPORTED,
                     "the .npz file uses compression method %d; stored and deflated are known", member->method);
  } else if (member->size != member->packed_size) {
    return damaged(error, "the size of a member is wrong");
  }
  if (crc_32(*bytes, member->size) == member->crc) return NORMA_OK;
  return damaged(error, "the checksum of a member is wrong");
}

norma_status npz_decode(norma_runtime *runtime, const npz_member *member, norma_value **value, norma_error *error) {
  norma_value *unpacked = NULL;
  const unsigned char *bytes;
  *value = NULL;
  norma_status status = member_bytes(runtime, member, &unpacked, &bytes, error);
  if (status == NORMA_OK) status = npy_decode(runtime, bytes, member->size, value, error);
  norma_value_destroy(unpacked);
  return status;
}
