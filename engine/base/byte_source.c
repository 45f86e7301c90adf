#include "engine/base/byte_source.h"

#include "engine/base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20) /* read between two questions whether to go on */

byte_source byte_source_from_memory(const void *data, size_t size) {
  static const unsigned char nothing[1];
  return (byte_source){.size = size, .data = data ? data : nothing, .file = -1};
}

typedef struct mapped_file {
  memory *memory;
  void *address;
  size_t bytes;
} mapped_file;

static void unmap(void *context) {
  mapped_file *mapped = context;
  munmap(mapped->address, mapped->bytes);
  memory_free(mapped->memory, mapped);
}

static norma_status map_file(byte_source *source, memory *memory, const char *name, norma_error *error) {
  mapped_file *mapped = memory_allocate(memory, sizeof *mapped);
  if (!mapped) return memory_error(memory, sizeof *mapped, error);
  *mapped = (mapped_file){.memory = memory, .bytes = (size_t)source->size};
  mapped->address = mmap(NULL, mapped->bytes, PROT_READ, MAP_PRIVATE, source->file, 0);
  if (mapped->address == MAP_FAILED) {
    memory_free(memory, mapped);
    return error_set(error, NORMA_ERROR_FILE, "%s: cannot be mapped: %s", name, strerror(errno));
  }
  source->mapping = buffer_wrap(memory, mapped->address, mapped->bytes, unmap, mapped);
  if (!source->mapping) {
    unmap(mapped);
    return memory_error(memory, sizeof(buffer), error);
  }
  source->data = source->mapping->data;
  return NORMA_OK;
}

norma_status byte_source_adopt(byte_source *source, memory *memory, int file, const char *name, bool map,
                               norma_error *error) {
  *source = (byte_source){.file = file};
  norma_status status = NORMA_OK;
  struct stat facts;
  if (fstat(file, &facts) != 0) {
    status = error_set(error, NORMA_ERROR_FILE, "%s: %s", name, strerror(errno));
  } else if (!S_ISREG(facts.st_mode)) {
    status = error_set(error, NORMA_ERROR_FILE, "%s: %s", name,
                       S_ISDIR(facts.st_mode) ? "is a directory" : "is not a regular file");
  } else {
    source->size = (uint64_t)facts.st_size;
    if (map && source->size > 0) status = map_file(source, memory, name, error);
  }
  if (status != NORMA_OK) byte_source_close(source);
  return status;
}

norma_status byte_source_open(byte_source *source, memory *memory, const char *path, bool map, norma_error *error) {
  *source = (byte_source){.file = -1};
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* O_NONBLOCK: a pipe must not make us wait */
  if (file < 0) return error_set(error, NORMA_ERROR_FILE, "%s: %s", path, strerror(errno));
  return byte_source_adopt(source, memory, file, path, map, error);
}

void byte_source_close(byte_source *source) {
  if (source->file >= 0) close(source->file);
  buffer_release(source->mapping);
  *source = (byte_source){.file = -1};
}

static norma_status read_piece(const byte_source *source, uint64_t offset, char *next, size_t length,
                               norma_error *error) {
  if (source->data) {
    memcpy(next, source->data + offset, length);
    return NORMA_OK;
  }
  while (length > 0) {
    ssize_t got = pread(source->file, next, length, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return error_set(error, NORMA_ERROR_FILE, "read error: %s", strerror(errno));
    if (got == 0) return error_set(error, NORMA_ERROR_FILE, "the file has become shorter while it was read");
    next += got;
    offset += (uint64_t)got;
    length -= (size_t)got;
  }
  return NORMA_OK;
}

norma_status byte_source_read(const byte_source *source, uint64_t offset, void *destination, size_t length,
                              norma_error *error) {
  if (offset > source->size || length > source->size - offset) {
    return error_set(error, NORMA_ERROR_FORMAT, "%zu bytes at %" PRIu64 " lie outside the file's %" PRIu64 " bytes",
                     length, offset, source->size);
  }
  char *next = destination;
  while (length > 0) {
    const size_t piece = length < PIECE_BYTES ? length : PIECE_BYTES;
    TRY(read_piece(source, offset, next, piece, error));
    next += piece;
    offset += piece;
    length -= piece;
    if (length > 0) TRY(interruption_poll(source->interruption, error));
  }
  return NORMA_OK;
}
