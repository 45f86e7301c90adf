/*
 * NumPy's files: .npy (format versions 1 to 3) and .npz (a zip archive of .npy members, stored or deflated).
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and PKWARE's APPNOTE.TXT.
 */
#ifndef TOOLS_FORMATS_NPY_H
#define TOOLS_FORMATS_NPY_H

#include "engine/norma.h"

#include <stdio.h>

bool npy_recognise(const void *bytes, size_t size);

/* The array as a tensor of its own, row-major and little-endian whatever the file has. Text (U, S) becomes
 * strings of UTF-8. Errors: FORMAT; UNSUPPORTED for types that are no ONNX type (objects, records, dates, and raw
 * bytes, which is how NumPy stores bfloat16); OUT_OF_MEMORY, BUDGET. */
norma_status npy_decode(norma_runtime *runtime, const void *bytes, size_t size, norma_value **value,
                        norma_error *error);

/* The array in place: *view points into `bytes`. *is_plain is false, and only type and shape are set, where the
 * elements do not lie as a tensor's do (other byte order, columns first, text, bool). Errors: as npy_decode. */
norma_status npy_view(const void *bytes, size_t size, norma_tensor *view, bool *is_plain, norma_error *error);

/* Whether .npy has a type for this tensor that gives it back unchanged. Strings: valid UTF-8 without NUL at the end. */
bool npy_can_hold(const norma_tensor *tensor);

/* Writes a tensor that npy_can_hold. Write errors stay in the stream. */
void npy_encode(FILE *file, const norma_tensor *tensor);

/* -------------------------------------------------------------------------------------------------------------- zip */

typedef struct npz_member {
  const char *name; /* as in the archive, without ".npy"; not terminated */
  size_t name_size;
  int method; /* 0 stored, 8 deflated */
  uint32_t crc;
  size_t packed_size, size;
  const unsigned char *packed; /* inside the archive */
} npz_member;

bool npz_recognise(const void *bytes, size_t size);

/* Reads the archive's directory: `members` (freed by free()) point into `bytes`. Errors: FORMAT, UNSUPPORTED
 * (encryption), OUT_OF_MEMORY. */
norma_status npz_list(const void *bytes, size_t size, npz_member **members, size_t *count, norma_error *error);

/* The bytes of a member's .npy file where they stand in the archive; false where they are packed. */
bool npz_stored(const npz_member *member, const void **bytes, size_t *size);

/* Unpacks one member and reads the array in it. Errors: as npy_decode; UNSUPPORTED for other methods than stored and
 * deflated, and for deflated ones where the build has no zlib. */
norma_status npz_decode(norma_runtime *runtime, const npz_member *member, norma_value **value, norma_error *error);

#endif
