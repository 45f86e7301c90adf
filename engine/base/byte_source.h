/*
 * Where bytes are read from: memory, a file read in pieces, or a mapped file. Reading needs no lock: a source never
 * changes after it was opened.
 */
#ifndef ENGINE_BASE_BYTE_SOURCE_H
#define ENGINE_BASE_BYTE_SOURCE_H

#include "engine/base/interruption.h"
#include "engine/base/memory.h"
#include "engine/norma.h"

typedef struct byte_source {
  uint64_t size;
  const unsigned char *data;  /* all bytes; NULL when they are read from `file` */
  int file;                   /* -1: none */
  buffer *mapping;            /* what `data` of a mapped file lies in; hold a reference to keep a view of it */
  interruption *interruption; /* asked between pieces of what is read; NULL: nobody is. Set it after opening. */
} byte_source;

/* `data` is borrowed until the source is closed. */
byte_source byte_source_from_memory(const void *data, size_t size);

/* Opens a regular file (or a symbolic link to one); devices and pipes are refused. Errors: FILE, OUT_OF_MEMORY, BUDGET.
 */
norma_status byte_source_open(byte_source *source, memory *memory, const char *path, bool map, norma_error *error);

/* The same for a file that is open already. The descriptor is taken over, on failure too. `name` is for messages. */
norma_status byte_source_adopt(byte_source *source, memory *memory, int file, const char *name, bool map,
                               norma_error *error);

void byte_source_close(byte_source *source); /* may be called twice, and after a failed open */

/* Reads exactly `length` bytes. Errors: FORMAT (outside the source), FILE (also where the file has become shorter),
 * CANCELLED, DEADLINE. */
norma_status byte_source_read(const byte_source *source, uint64_t offset, void *destination, size_t length,
                              norma_error *error);

#endif
