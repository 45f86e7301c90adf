/* The public face of moments and of editing models: checks of arguments around engine/edit/moments.h and
 * proto/model_patch.h.
 */
#include "engine/edit/moments.h"
#include "engine/execute/runtime.h"
#include "engine/base/status.h"
#include "proto/model_patch.h"

#include <string.h>

/* ---------------------------------------------------------------------------------------------------------- moments */

struct norma_moments {
  norma_runtime *runtime;
  moments moments;
};

norma_status norma_moments_create(norma_runtime *runtime, int64_t channels, norma_moments **result,
                                  norma_error *error) {
  if (!runtime || !result || channels < 1) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, at least one channel and a place are needed");
  }
  norma_moments *created = memory_allocate_zeroed(&runtime->memory, sizeof *created);
  *result = created;
  if (!created) return memory_error(&runtime->memory, sizeof *created, error);
  created->runtime = runtime;
  moments_init(&created->moments, &runtime->memory, channels);
  return NORMA_OK;
}

void norma_moments_destroy(norma_moments *moments) {
  if (!moments) return;
  memory *memory = moments->moments.memory;
  moments_free(&moments->moments);
  memory_free(memory, moments);
}

norma_status norma_moments_add(norma_moments *moments, const norma_tensor *tensor, norma_error *error) {
  if (!moments || !tensor) return error_set(error, NORMA_ERROR_ARGUMENT, "moments and a tensor are needed");
  int64_t rows = tensor->rank > 0 ? tensor->dims[0] : 0;
  return moments_add(&moments->moments, moments->runtime, tensor, rows, error);
}

norma_status norma_moments_merge(norma_moments *moments, const norma_moments *other, norma_error *error) {
  if (!moments || !other || moments == other || moments->moments.channels != other->moments.channels) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments of as many channels are needed");
  }
  return moments_merge(&moments->moments, &other->moments, error);
}

norma_status norma_moments_read(const norma_moments *moments, double *count, double *mean, double *variance,
                                norma_error *error) {
  if (!moments || !count || !mean || !variance) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments and places for the results are needed");
  }
  const double total = moments_total(&moments->moments, mean, variance);
  for (int64_t c = 0; total > 0 && c < moments->moments.channels; c++) variance[c] /= total;
  *count = total;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- editor */

struct norma_editor {
  norma_runtime *runtime;
  model_patch *patch;
};

norma_status norma_editor_open(norma_runtime *runtime, const char *path, norma_editor **result, norma_error *error) {
  if (!runtime || !path || !result) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, a path and a place for the editor are needed");
  }
  *result = NULL;
  wire_limits limits = {runtime->max_nodes, runtime->max_depth};
  norma_editor *editor = memory_allocate_zeroed(&runtime->memory, sizeof *editor);
  if (!editor) return memory_error(&runtime->memory, sizeof *editor, error);
  editor->runtime = runtime;
  norma_status status = model_patch_open(&runtime->memory, path, &limits, &editor->patch, error);
  if (status != NORMA_OK) {
    memory_free(&runtime->memory, editor);
    return status;
  }
  *result = editor;
  return NORMA_OK;
}

void norma_editor_destroy(norma_editor *editor) {
  if (!editor) return;
  model_patch_close(editor->patch);
  memory_free(&editor->runtime->memory, editor);
}

norma_status norma_editor_read(norma_editor *editor, const char *name, norma_tensor *tensor, void *data, size_t bytes,
                               norma_error *error) {
  if (!editor || !name || !tensor)
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name and a tensor are needed");
  value contents = {0};
  TRY(model_patch_read(editor->patch, name, &contents, error));
  norma_status status = NORMA_OK;
  *tensor = contents.tensor;
  tensor->data = data;
  if (contents.tensor.type == NORMA_STRING) {
    status = error_set(error, NORMA_ERROR_UNSUPPORTED, "'%s' holds strings", name);
  } else if (data && bytes < contents.tensor.size_bytes) {
    status = error_set(error, NORMA_ERROR_BUDGET, "'%s' has %zu bytes, the place for it %zu", name,
                       contents.tensor.size_bytes, bytes);
  } else if (data && contents.tensor.size_bytes > 0) {
    memcpy(data, contents.tensor.data, contents.tensor.size_bytes);
  }
  value_clear(&contents);
  return status;
}

norma_status norma_editor_replace(norma_editor *editor, const char *name, const norma_tensor *tensor,
                                  norma_error *error) {
  if (!editor || !name || !tensor || (!tensor->data && tensor->size_bytes > 0)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name and a tensor are needed");
  }
  return model_patch_replace(editor->patch, name, tensor, error);
}

norma_status norma_editor_save(const norma_editor *editor, const char *path, norma_error *error) {
  if (!editor || !path) return error_set(error, NORMA_ERROR_ARGUMENT, "an editor and a path are needed");
  return model_patch_save(editor->patch, path, error);
}
