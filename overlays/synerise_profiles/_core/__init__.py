"""What every call needs: settings, sign-in, the transport, retries, the server's clock. Not for import by users."""
