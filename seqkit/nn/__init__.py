"""nn: tensors to tensors. Recurrent layers, encoder, pooling, embedding, CRF, dropout. No files, no settings."""
