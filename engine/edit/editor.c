#include "engine/edit/editor.h"

#include "engine/base/struct_size.h"
#include "engine/execute/owned_values.h"

/* NULL: none. */
static norma_status editor_take_limits(norma_editor *editor, const norma_limits *given, norma_error *error) {
  norma_limits limits;
  TRY(options_take(&limits, sizeof limits, given, "norma_limits", error));
  atomic_store(&editor->interruption.cancelled, false);
  interruption_begin(&editor->interruption, "edit", limits.timeout, limits.is_cancelled, limits.cancel_context);
  return NORMA_OK;
}

static norma_status editor_create(norma_runtime *runtime, const norma_limits *given, norma_editor **result,
                                  wire_limits *limits, norma_error *error) {
  norma_editor *editor = memory_allocate_zeroed(&runtime->memory, sizeof *editor);
  *result = editor;
  if (!editor) return memory_error(&runtime->memory, sizeof *editor, error);
  editor->runtime = runtime;
  *limits = (wire_limits){runtime->max_nodes, runtime->max_depth, &editor->interruption};
  return editor_take_limits(editor, given, error);
}

/* Gives back what could not be opened. */
static norma_status editor_finish(norma_status status, norma_editor **result) {
  if (status == NORMA_OK) return NORMA_OK;
  norma_editor_destroy(*result);
  *result = NULL;
  return status;
}

norma_status norma_editor_open_within(norma_runtime *runtime, const char *path, const norma_limits *given,
                                      norma_editor **result, norma_error *error) {
  wire_limits limits;
  if (result) *result = NULL;
  if (!runtime || !path || !result) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, a path and a place for the editor are needed");
  }
  norma_status status = editor_create(runtime, given, result, &limits, error);
  if (status == NORMA_OK) status = model_patch_open(&runtime->memory, path, &limits, &(*result)->patch, error);
  return editor_finish(status, result);
}

norma_status norma_editor_open(norma_runtime *runtime, const char *path, norma_editor **result, norma_error *error) {
  return norma_editor_open_within(runtime, path, NULL, result, error);
}

norma_status norma_editor_open_memory(norma_runtime *runtime, const void *data, size_t size,
                                      norma_read_external read_external, void *context, norma_editor **result,
                                      norma_error *error) {
  wire_limits limits;
  if (result) *result = NULL;
  if (!runtime || !data || !result) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, bytes and a place for the editor are needed");
  }
  TRY(editor_create(runtime, NULL, result, &limits, error));
  return editor_finish(
      model_patch_open_memory(&runtime->memory, data, size, read_external, context, &limits, &(*result)->patch, error),
      result);
}

norma_status norma_editor_set_limits(norma_editor *editor, const norma_limits *limits, norma_error *error) {
  if (!editor) return error_set(error, NORMA_ERROR_ARGUMENT, "an editor is needed");
  return editor_take_limits(editor, limits, error);
}

void norma_editor_destroy(norma_editor *editor) {
  if (!editor) return;
  model_patch_close(editor->patch);
  memory_free(&editor->runtime->memory, editor);
}

uint64_t norma_editor_fingerprint(const norma_editor *editor) {
  return editor ? model_patch_fingerprint(editor->patch) : 0;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

norma_status norma_editor_read(norma_editor *editor, const char *name, norma_tensor *tensor, void *data, size_t bytes,
                               norma_error *error) {
  if (!editor || !name || !tensor) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name and a tensor are needed");
  }
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

norma_status norma_editor_read_value(norma_editor *editor, const char *name, norma_value **result, norma_error *error) {
  value contents = {0};
  if (result) *result = NULL;
  if (!editor || !name || !result) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name and a place for the value are needed");
  }
  TRY(model_patch_read(editor->patch, name, &contents, error));
  return owned_value_create(editor->runtime, &contents, result, error);
}

norma_status norma_editor_replace(norma_editor *editor, const char *name, const norma_tensor *tensor,
                                  norma_error *error) {
  if (!editor || !name || !tensor_is_sound(tensor)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name and a tensor are needed");
  }
  return model_patch_replace(editor->patch, name, tensor, error);
}

norma_status norma_editor_add(norma_editor *editor, const char *stem, const norma_tensor *tensor, const char **name,
                              norma_error *error) {
  if (!editor || !stem || !stem[0] || !tensor_is_sound(tensor) || !name) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor, a name, a tensor and a place for its name are needed");
  }
  if (tensor->type == NORMA_STRING) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "an initializer of strings cannot be added");
  }
  return model_patch_add(editor->patch, stem, tensor, name, error);
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

static norma_status editor_check(const norma_editor *editor, const char *output, const char *other,
                                 norma_error *error) {
  if (editor && output && other) return NORMA_OK;
  return error_set(error, NORMA_ERROR_ARGUMENT, "an editor and names are needed");
}

norma_status norma_editor_set_input(norma_editor *editor, const char *output, size_t index, const char *name,
                                    norma_error *error) {
  TRY(editor_check(editor, output, name, error));
  return model_patch_set_input(editor->patch, output, index, name, error);
}

norma_status norma_editor_keep_inputs(norma_editor *editor, const char *output, size_t count, norma_error *error) {
  TRY(editor_check(editor, output, "", error));
  return model_patch_keep_inputs(editor->patch, output, count, error);
}

norma_status norma_editor_keep_outputs(norma_editor *editor, const char *output, size_t count, norma_error *error) {
  TRY(editor_check(editor, output, "", error));
  return model_patch_keep_outputs(editor->patch, output, count, error);
}

norma_status norma_editor_set_int(norma_editor *editor, const char *output, const char *attribute, int64_t number,
                                  norma_error *error) {
  TRY(editor_check(editor, output, attribute, error));
  return model_patch_set_int(editor->patch, output, attribute, number, error);
}

norma_status norma_editor_remove_attribute(norma_editor *editor, const char *output, const char *attribute,
                                           norma_error *error) {
  TRY(editor_check(editor, output, attribute, error));
  return model_patch_remove_attribute(editor->patch, output, attribute, error);
}

norma_status norma_editor_remove_output(norma_editor *editor, const char *name, norma_error *error) {
  TRY(editor_check(editor, name, "", error));
  return model_patch_remove_output(editor->patch, name, error);
}

/* ---------------------------------------------------------------------------------------------------------- writing */

norma_status norma_editor_save(const norma_editor *editor, const char *path, norma_error *error) {
  if (!editor || !path) return error_set(error, NORMA_ERROR_ARGUMENT, "an editor and a path are needed");
  return model_patch_save(editor->patch, path, error);
}

norma_status norma_editor_write(const norma_editor *editor, norma_write write, void *context, norma_error *error) {
  if (!editor || !write) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an editor and a function that takes the bytes are needed");
  }
  return model_patch_write(editor->patch, write, context, error);
}
