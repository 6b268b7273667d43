"""The push notification dispatcher: from the outbox to the phone, by whichever provider knows the device."""
